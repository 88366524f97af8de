"""Many answers become one."""
