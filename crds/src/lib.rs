//! The Kubernetes API of this project.

#![allow(
    clippy::duplicated_attributes,
    reason = "two printer columns or two derives of a kind may have the same type"
)]

pub mod duration;
pub mod frrk8s;
pub mod metallb;
pub mod schema;
