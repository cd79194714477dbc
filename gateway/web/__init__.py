"""The pages of the reference and what they are made of; served by gateway.api.pages."""
