//! The solar system at J2000 (JD 2451545.0 TDB), built into the program.
//!
//! The Earth and the Moon are either one body at their barycentre, or two bodies. Both at once
//! would count the same mass twice, so [`Bodies`] has no such variant. The units are those of
//! [`System`]. An AU is 149597870.6996262 km in DE421 and 149597870.7 km in DE440.
//!
//! Source: JPL ephemerides DE421 and DE440; see `data/README.md` of this crate.

use serde::Deserialize;

use super::{Body, System};

/// The Julian date of the initial state, TDB.
pub const EPOCH: f64 = 2_451_545.0;

const DE421: &str = include_str!("../../data/de421_initial_conditions.csv");
const DE440: &str = include_str!("../../data/de440_initial_conditions.csv");

/// The bodies that represent the Earth and the Moon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bodies {
    /// Their barycentre `emb`: ten bodies in all.
    Emb,
    /// `earth` and `moon`: eleven bodies in all.
    EarthMoon,
}

/// The ephemeris that the initial state is taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ephemeris {
    /// JPL's ephemeris of 2008.
    #[default]
    De421,
    /// JPL's ephemeris of 2020.
    De440,
}

impl Ephemeris {
    /// The ephemeris's name in lower case: `de421` or `de440`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::De421 => "de421",
            Self::De440 => "de440",
        }
    }

    /// Kilometres in an AU of this ephemeris.
    #[must_use]
    pub fn au_km(self) -> f64 {
        match self {
            Self::De421 => 149_597_870.699_626_2,
            Self::De440 => 149_597_870.7,
        }
    }

    /// The Sun, the planet systems and Pluto at J2000, from the Sun outwards.
    ///
    /// # Shapes
    ///
    /// 10 rows with [`Bodies::Emb`], 11 with [`Bodies::EarthMoon`]; row 0 is the Sun.
    ///
    /// # Examples
    ///
    /// ```
    /// use sims::nbody::{Bodies, Ephemeris};
    ///
    /// let system = Ephemeris::De440.initial_conditions(Bodies::EarthMoon);
    /// assert_eq!(system.names[..5], ["sun", "mercury", "venus", "earth", "moon"]);
    /// ```
    #[must_use]
    pub fn initial_conditions(self, bodies: Bodies) -> System {
        let rows = self.rows();
        let named = |name: &str| {
            rows.iter()
                .find(|row| row.name == name)
                .expect("the built-in tables have the Earth and the Moon")
        };
        rows.iter()
            .filter(|row| row.name != "earth" && row.name != "moon")
            .flat_map(|row| match bodies {
                Bodies::EarthMoon if row.name == "emb" => vec![named("earth"), named("moon")],
                _ => vec![row],
            })
            .map(Row::body)
            .collect()
    }

    fn rows(self) -> Vec<Row> {
        let table = match self {
            Self::De421 => DE421,
            Self::De440 => DE440,
        };
        csv::Reader::from_reader(table.as_bytes())
            .into_deserialize()
            .collect::<Result<_, _>>()
            .expect("the built-in tables are well-formed")
    }
}

#[derive(Deserialize)]
struct Row {
    name: String,
    gm_au3_d2: f64,
    x_au: f64,
    y_au: f64,
    z_au: f64,
    vx_au_d: f64,
    vy_au_d: f64,
    vz_au_d: f64,
}

impl Row {
    fn body(&self) -> Body {
        Body {
            name: self.name.clone(),
            gm: self.gm_au3_d2,
            position: [self.x_au, self.y_au, self.z_au],
            velocity: [self.vx_au_d, self.vy_au_d, self.vz_au_d],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earth_and_moon_take_the_place_of_their_barycentre() {
        for ephemeris in [Ephemeris::De421, Ephemeris::De440] {
            let ten = ephemeris.initial_conditions(Bodies::Emb);
            let eleven = ephemeris.initial_conditions(Bodies::EarthMoon);
            assert_eq!(
                ten.names,
                [
                    "sun", "mercury", "venus", "emb", "mars", "jupiter", "saturn", "uranus",
                    "neptune", "pluto"
                ]
            );
            assert_eq!(eleven.names[3..5], ["earth", "moon"]);
            assert_eq!(eleven.names[..3], ten.names[..3]);
            assert_eq!(eleven.names[5..], ten.names[4..]);
        }
    }

    #[test]
    fn the_barycentre_is_that_of_earth_and_moon() {
        for ephemeris in [Ephemeris::De421, Ephemeris::De440] {
            let emb = ephemeris.initial_conditions(Bodies::Emb).body(3);
            let eleven = ephemeris.initial_conditions(Bodies::EarthMoon);
            let (earth, moon) = (eleven.body(3), eleven.body(4));
            assert!((earth.gm + moon.gm - emb.gm).abs() < 1e-14 * emb.gm);
            for c in 0..3 {
                let mean = (earth.gm * earth.position[c] + moon.gm * moon.position[c]) / emb.gm;
                assert!((mean - emb.position[c]).abs() < 1e-12);
            }
        }
    }
}
