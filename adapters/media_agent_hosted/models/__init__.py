"""What is known of the models of a provider, and the fields that a request becomes for them."""
