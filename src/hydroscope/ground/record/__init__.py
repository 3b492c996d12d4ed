"""The flight recorder: what a process did last, in a file that outlives it.

`layout` is the file, byte by byte; `hot` writes a record in a fraction of a microsecond; `writer` does what is seldom
needed (open, make room, odd arguments, clocks); `names` and `folder` are what they say; `recorder` is what a program
uses; `reader` reads rings, of the living and of the dead. docs/recorder.md tells what is promised.
"""
