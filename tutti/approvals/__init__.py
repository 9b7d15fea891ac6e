"""The commands with which people see what they are asked, answer it, and let others answer for them."""
