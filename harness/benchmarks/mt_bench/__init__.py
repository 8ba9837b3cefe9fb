"""MT-Bench: two-turn questions, each turn rated by a judge."""
