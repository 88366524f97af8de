"""Keys and those who call: what each may do, what it may spend, and what was changed by whom."""
