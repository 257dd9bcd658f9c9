//! A configuration as text.

use std::fmt::Write;

use super::{Block, Config, Place, RouterBlock, prefix_list_entry, router_header};

/// What stands in place of a password.
const HIDDEN: &str = "<hidden>";

impl Config {
    /// A complete `frr.conf`, passwords included.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Nothing can go wrong when writing to a String.
        let _ = self.write(&mut out);
        out
    }

    /// Like [`Config::text`], with `<hidden>` in place of all that follows `password` in a line.
    pub fn redacted(&self) -> String {
        redact(&self.text())
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        for (_, line) in self.settings.ordered(Place::Top) {
            writeln!(out, "{line}")?;
        }
        for ((family, name), list) in &self.prefix_lists {
            for (number, entry) in &list.entries {
                writeln!(out, "{}", prefix_list_entry(*family, name, *number, entry))?;
            }
        }
        for (name, map) in &self.route_maps {
            for (number, clause) in &map.entries {
                writeln!(out, "route-map {name} {} {number}", clause.action)?;
                for line in &clause.lines {
                    writeln!(out, " {line}")?;
                }
                writeln!(out, "exit")?;
            }
        }
        for (name, block) in &self.vrfs {
            writeln!(out, "vrf {name}")?;
            write_block(out, block, Place::Vrf, 1)?;
            writeln!(out, "exit-vrf")?;
        }
        if !self.bfd_profiles.is_empty() {
            writeln!(out, "bfd")?;
            for (name, block) in &self.bfd_profiles {
                writeln!(out, " profile {name}")?;
                write_block(out, block, Place::BfdProfile, 2)?;
                writeln!(out, " exit")?;
            }
            writeln!(out, "exit")?;
        }
        for (vrf, router) in &self.routers {
            write_router(out, vrf, router)?;
        }
        self.write_others(out)
    }

    fn write_others(&self, out: &mut String) -> std::fmt::Result {
        for (headers, block) in &self.others {
            for (depth, header) in headers.iter().enumerate() {
                writeln!(out, "{:depth$}{header}", "")?;
            }
            write_block(out, block, Place::Other, headers.len())?;
            for depth in (0..headers.len()).rev() {
                writeln!(out, "{:depth$}exit", "")?;
            }
        }
        Ok(())
    }
}

fn write_router(out: &mut String, vrf: &str, router: &RouterBlock) -> std::fmt::Result {
    writeln!(out, "{}", router_header(&router.asn, vrf))?;
    write_block(out, &router.lines, Place::Router, 1)?;
    for (name, family) in &router.families {
        writeln!(out, " address-family {name}")?;
        write_block(out, &family.lines, Place::AddressFamily, 2)?;
        for (vni, block) in &family.vnis {
            writeln!(out, "  vni {vni}")?;
            write_block(out, block, Place::Vni, 3)?;
            writeln!(out, "  exit-vni")?;
        }
        writeln!(out, " exit-address-family")?;
    }
    writeln!(out, "exit")
}

fn write_block(out: &mut String, block: &Block, place: Place, depth: usize) -> std::fmt::Result {
    for (_, line) in block.ordered(place) {
        writeln!(out, "{:depth$}{line}", "")?;
    }
    Ok(())
}

/// Hides passwords in a configuration or in a message about one: all that follows `password` in a line.
pub fn redact(text: &str) -> String {
    let lines = text
        .split_inclusive('\n')
        .map(|line| match line.split_once("password ") {
            Some((head, tail)) => {
                let end = if tail.ends_with('\n') { "\n" } else { "" };
                format!("{head}password {HIDDEN}{end}")
            }
            None => line.to_owned(),
        });
    lines.collect()
}
