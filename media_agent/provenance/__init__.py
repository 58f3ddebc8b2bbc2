"""What was asked, adjusted, sent and delivered."""
