//! Bodies of the fuzz targets, each with its oracle. They live here to be replayed on the
//! committed corpus by an ordinary test; they are no part of the API.
