"""What all hosted backends share."""
