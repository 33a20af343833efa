//! Lives of licenses.
