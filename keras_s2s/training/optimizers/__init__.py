"""What is trained, how fast, and what is made of the gradients: groups, schedules, averages."""
