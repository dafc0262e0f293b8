"""An app whose users get tokens for the API."""
