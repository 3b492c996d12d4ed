"""Window-logs: the last seconds of a state, change by change, in memory and in files that outlive their writer."""
