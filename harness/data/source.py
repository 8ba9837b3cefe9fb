"""Where data come from: ``sample`` (shipped), a local folder, or the hub's local copy."""
