"""Makes smaller models from larger ones: those with the part of a vocabulary that is used."""
