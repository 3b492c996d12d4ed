"""Window-logs: the last seconds of a state, change by change, in memory and in files that outlive their writer.

    WindowLog   `log`      a state in use that remembers: what a user makes
    Ledger      `ledger`   its entries in memory, and its state now
    History     `history`  all entries that were known at one moment, as columns that do not change any more
    Cut         `cut`      the state at one moment, which can be moved along a history
    Tape        `tape`     the writer of a log's files; `layout` has what lies where in them, `files` whose they are
    PastLog     `past`     a log as its files have it: nothing can be added to it
    Changes     `changes`  all changes of several logs, as columns of text

Above, `engine.diary` writes the tape of the keys that a member is home to, and `engine.past_keys` has the tapes of all
members as PastLogs. `scope.snapshots` has cuts of several logs at one stamp, `scope.stretch` what lies between two.
"""
