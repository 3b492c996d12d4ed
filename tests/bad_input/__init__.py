"""Bad input, case by case; `python -m tests.bad_input` prints what is said to each."""
