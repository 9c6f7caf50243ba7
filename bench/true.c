// The guest program of the measurements: whatever they show is not its own doing.
int main(void) { return 0; }
