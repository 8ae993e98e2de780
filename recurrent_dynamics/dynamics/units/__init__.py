"""What single units do: gates, saturation, time scales, the signals they follow."""
