//! What nothing else beats on two counts at once.

/// Indices of the points that no other point dominates, in rising order. More is better on both counts; a point
/// dominates another that it is nowhere worse than and somewhere better. Equal points stand and fall together.
/// Points with a coordinate that is not a number are left out.
pub fn front(points: &[[f64; 2]]) -> Vec<usize> {
    // Adding nothing makes one zero of the two.
    let mut order: Vec<([f64; 2], usize)> = points.iter().map(|[x, y]| [x + 0.0, y + 0.0]).zip(0..).collect();
    order.retain(|([x, y], _)| !x.is_nan() && !y.is_nan());
    order.sort_by(|(a, _), (b, _)| b[0].total_cmp(&a[0]).then(b[1].total_cmp(&a[1])));
    let mut front = Vec::new();
    let mut highest: Option<f64> = None;
    // From the best on the first count to the worst: each has to be better on the second than all before.
    for equals in order.chunk_by(|(a, _), (b, _)| a[0] == b[0]) {
        let top = equals[0].0[1];
        if highest.is_none_or(|highest| top > highest) {
            highest = Some(top);
            front.extend(equals.iter().filter(|(point, _)| point[1] == top).map(|(_, i)| *i));
        }
    }
    front.sort_unstable();
    front
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dominates(a: [f64; 2], b: [f64; 2]) -> bool {
        a[0] >= b[0] && a[1] >= b[1] && a != b
    }

    /// Few values, so that there are ties, and the ones that are easily got wrong.
    fn points() -> impl Strategy<Value = Vec<[f64; 2]>> {
        let special = prop::sample::select(vec![0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]);
        let value = prop_oneof![4 => (-5_i8..5).prop_map(f64::from), 1 => special, 2 => -1e9..1e9];
        let point = prop::array::uniform2(value);
        prop::collection::vec(point, 0..40)
    }

    proptest! {
        #[test]
        fn on_the_front_is_exactly_what_nothing_dominates(points in points()) {
            let front = front(&points);
            for (i, point) in points.iter().enumerate() {
                let beaten = points.iter().any(|other| dominates(*other, *point));
                let number = !point[0].is_nan() && !point[1].is_nan();
                prop_assert_eq!(front.contains(&i), number && !beaten, "{:?} of {:?}", point, points);
            }
        }

        #[test]
        fn the_order_of_the_points_does_not_matter(points in points()) {
            let turned: Vec<[f64; 2]> = points.iter().rev().copied().collect();
            let mut back: Vec<usize> = front(&turned).into_iter().map(|i| points.len() - 1 - i).collect();
            back.sort_unstable();
            prop_assert_eq!(back, front(&points));
        }

        #[test]
        fn the_front_of_the_front_is_all_of_it(points in points()) {
            let best: Vec<[f64; 2]> = front(&points).into_iter().map(|i| points[i]).collect();
            prop_assert_eq!(front(&best).len(), best.len());
        }
    }

    #[test]
    fn equal_points_stand_together() {
        assert_eq!(front(&[[1.0, 2.0], [1.0, 2.0], [2.0, 1.0], [1.0, 1.0]]), [0, 1, 2]);
        assert_eq!(front(&[]), [0_usize; 0]);
    }
}
