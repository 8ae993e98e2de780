"""What is compiled once and knows neither a cell nor time: access to elements, products, threads, memory, QR."""
