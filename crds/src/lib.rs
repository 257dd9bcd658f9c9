//! The Kubernetes API of this project.

pub mod duration;
pub mod frrk8s;
