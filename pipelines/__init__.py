"""One thin file per DVC stage: read its parameters, call one function of openus, write its metrics and plots."""
