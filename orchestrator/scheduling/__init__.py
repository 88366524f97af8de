"""What is done when, and where: units of work, who claims them, which experts are loaded."""
