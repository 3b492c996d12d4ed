"""The needs of the upper floors (threads, remote tasks) as Protocols, and jobs."""
