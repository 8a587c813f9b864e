"""What a user sets: the parameters of a step and the profile that says where things run."""
