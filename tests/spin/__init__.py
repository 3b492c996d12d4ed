"""The tables of the protocol rooms as Spin models: exported, checked, and their mutants caught."""
