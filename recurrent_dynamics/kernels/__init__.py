"""What is compiled once and knows neither cell nor time, and the disk that keeps compiled code."""
