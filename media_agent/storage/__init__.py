"""Files, addresses and the network: what lies where, whole or not at all."""
