"""The ways of asking a judge; each file builds its requests and reads its replies."""
