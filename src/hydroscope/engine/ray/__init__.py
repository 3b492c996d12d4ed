"""The Ray engine: the same work as Ray tasks over chunks held as Ray objects. The only room that imports Ray.

A handle is a Ray object reference. What tasks return stays where it was made, and because
a task made it Ray can make it again (lineage) when the node that held it is lost. Each
task returns, beside its values, a small object that tells how it ended: the driver waits
for those and never fetches a value to learn of an error.

`cluster` attaches or starts · `engine` is what upper floors use · `flight` one map on its way ·
`task` what a worker does · `box` its black box · `warden` who watches over workers · `cell` where
a suspect runs · `guard` the driver's eye on nodes and wardens.

Ray pickles what crosses processes; that is Ray's business and the reason why this engine is
for machines you trust. One that is started here listens on the loopback interface only.
"""

from __future__ import annotations

from hydroscope.engine.ray.cluster import connect
from hydroscope.engine.ray.engine import RayEngine

__all__ = ["RayEngine", "connect"]
