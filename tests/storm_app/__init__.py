"""Node types of the storm: workers load them as an installed app."""
