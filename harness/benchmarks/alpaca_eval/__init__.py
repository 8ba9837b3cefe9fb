"""AlpacaEval 2.0: length-controlled win rate, raw win rate and answer length."""
