"""Map/reduce over frames: the task, the plan, the run."""
