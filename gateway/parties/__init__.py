"""WHO is paid: recipients with their requisites. What they are owed is not known here."""
