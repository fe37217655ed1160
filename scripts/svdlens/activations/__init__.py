"""What directions do on text: where each projects most, and how strongly it fires on a prompt."""
