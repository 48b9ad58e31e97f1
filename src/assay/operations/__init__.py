"""What keeps a server going over years: backups and restoring them, upgrades, and a doctor that says what is wrong."""
