"""Ask for SpiNNaker boards, keep them, and give them back."""
