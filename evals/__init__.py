"""Does it work: tasks, grading and reports."""
