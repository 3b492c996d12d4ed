"""The button: gathering what the processes of a machine, or of a cluster, have recorded.

`disk` finds the rings that lie on this machine, of the living and the dead; `post` is a thread of every process of a
cluster that answers when nobody else there does; `line` is what is spoken over; `asking` is one post asked; `gather`
asks all of them, within a deadline, and tells what could not be had.
"""
