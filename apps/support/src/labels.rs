//! Places for names beside dots, where they hide neither each other nor a dot.
//!
//! Around each dot there are places to the right, left, above, below and diagonally, near and
//! farther out. Of the free places, one that covers few lines and is not far away is taken. A name
//! for which there is no room is left out, because two overlapping names could not be read.

/// The distances between a dot and its name, in pixels.
const DISTANCES: [i32; 4] = [8, 14, 24, 36];
/// The directions, the best first: right, left, up, down, diagonals.
const DIRECTIONS: [(i32, i32); 8] =
    [(1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1)];

/// A rectangle in pixels; `right` and `bottom` are the first coordinates outside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) left: i32,
    pub(crate) top: i32,
    pub(crate) right: i32,
    pub(crate) bottom: i32,
}

impl Area {
    /// A rectangle of the given size around its centre.
    pub(crate) fn around((x, y): (i32, i32), (width, height): (i32, i32)) -> Self {
        let (left, top) = (x - width / 2, y - height / 2);
        Self { left, top, right: left + width, bottom: top + height }
    }

    fn meets(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn within(&self, outer: &Self) -> bool {
        self.left >= outer.left
            && self.top >= outer.top
            && self.right <= outer.right
            && self.bottom <= outer.bottom
    }
}

/// The places on a page that are still free for names.
#[derive(Debug, Clone)]
pub(crate) struct Labels {
    page: Area,
    taken: Vec<Area>,
}

impl Labels {
    /// An empty page.
    pub(crate) fn new(page: Area) -> Self {
        Self { page, taken: Vec::new() }
    }

    /// Reserves an area, so that no name is placed there.
    pub(crate) fn take(&mut self, area: Area) {
        self.taken.push(area);
    }

    /// The amount that an area would hide: names and dots count 1 each, lines by their fraction of
    /// the area.
    pub(crate) fn cover(&self, area: Area, ink: impl Fn(Area) -> f64) -> f64 {
        self.taken.iter().filter(|other| other.meets(&area)).count() as f64 + ink(area)
    }

    /// Reserves a place for a name of the given size beside a dot, if one is free. `ink` returns
    /// the fraction of an area, 0 to 1, that is drawn on.
    pub(crate) fn place(
        &mut self,
        (x, y): (i32, i32),
        size: (i32, i32),
        ink: impl Fn(Area) -> f64,
    ) -> Option<Area> {
        let (half_width, half_height) = (size.0 / 2, size.1 / 2);
        let places = DISTANCES.iter().flat_map(|distance| {
            DIRECTIONS.iter().enumerate().map(move |(rank, (right, down))| {
                let away = if right * down == 0 { *distance } else { distance * 7 / 10 };
                let centre = (x + right * (away + half_width), y + down * (away + half_height));
                let effort = f64::from(*distance) * 0.01 + rank as f64 * 0.004;
                (effort, Area::around(centre, size))
            })
        });
        let free = places.filter(|(_, area)| {
            area.within(&self.page) && !self.taken.iter().any(|other| other.meets(area))
        });
        let costs = free.map(|(effort, area)| (effort + 3.0 * ink(area), area));
        let best = costs.min_by(|(one, _), (other, _)| one.total_cmp(other))?.1;
        self.taken.push(best);
        Some(best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Area = Area { left: 0, top: 0, right: 300, bottom: 200 };

    #[test]
    fn names_never_meet_and_never_leave_the_page() {
        let mut labels = Labels::new(PAGE);
        let dots: Vec<_> = (0..30).map(|n| (10 + 9 * n, 5 + 37 * n % 190)).collect();
        dots.iter().for_each(|dot| labels.take(Area::around(*dot, (8, 8))));
        let placed: Vec<_> =
            dots.iter().filter_map(|dot| labels.place(*dot, (50, 15), |_| 0.0)).collect();
        assert!(placed.len() > 10, "{}", placed.len());
        for (index, area) in placed.iter().enumerate() {
            assert!(area.within(&PAGE));
            assert!(placed[..index].iter().all(|other| !other.meets(area)));
            assert!(dots.iter().all(|dot| !Area::around(*dot, (8, 8)).meets(area)));
        }
    }

    #[test]
    fn a_lonely_name_stands_right_of_its_dot() {
        let area = Labels::new(PAGE).place((100, 100), (40, 14), |_| 0.0).unwrap();
        assert_eq!(area, Area { left: 108, top: 93, right: 148, bottom: 107 });
    }

    #[test]
    fn a_name_goes_where_it_covers_no_line() {
        let line = |area: Area| if area.right > 100 { 0.2 } else { 0.0 };
        let area = Labels::new(PAGE).place((100, 100), (40, 14), line).unwrap();
        assert_eq!(area.right, 92);
    }

    #[test]
    fn a_name_without_room_is_left_out() {
        let mut labels = Labels::new(PAGE);
        labels.take(PAGE);
        assert_eq!(labels.place((100, 100), (40, 14), |_| 0.0), None);
        assert_eq!(Labels::new(PAGE).place((5000, 5000), (40, 14), |_| 0.0), None);
    }
}
