"""What the person who runs digest needs besides the daily job."""
