"""What runs inside the Engine's environment, as a program: nothing of ours is installed there, and nothing here imports it."""
