//! Examples; each program is one file in this folder.
