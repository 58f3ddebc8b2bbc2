"""The network: who sends, with which key, how often; and what came back."""
