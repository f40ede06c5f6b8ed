//! What crosses crates: whole runs with real processes, faults, and the benches.
