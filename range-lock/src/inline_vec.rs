//! A vector whose first few elements need no heap.
//! It uses nothing of this crate.

/// A vector that keeps up to `N` elements in place, and more than that on the heap.
#[derive(Debug)]
pub(crate) enum InlineVec<T, const N: usize> {
    /// The first `len` places are taken.
    Inline {
        places: [Option<T>; N],
        len: usize,
    },
    Heap(Vec<Option<T>>),
}

impl<T, const N: usize> InlineVec<T, N> {
    pub(crate) fn new() -> Self {
        InlineVec::Inline { places: [const { None }; N], len: 0 }
    }

    pub(crate) fn push(&mut self, element: T) {
        match self {
            InlineVec::Inline { places, len } if *len < N => {
                places[*len] = Some(element);
                *len += 1;
            }
            InlineVec::Inline { places, .. } => {
                let mut heap: Vec<_> = places.iter_mut().map(Option::take).collect();
                heap.push(Some(element));
                *self = InlineVec::Heap(heap);
            }
            InlineVec::Heap(heap) => heap.push(Some(element)),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let places = match self {
            InlineVec::Inline { places, len } => &places[..*len],
            InlineVec::Heap(heap) => heap,
        };
        places.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.places_mut().iter_mut().flatten()
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut T> {
        self.places_mut().last_mut()?.as_mut()
    }

    pub(crate) fn sort_unstable_by_key<K: Ord>(&mut self, key: impl Fn(&T) -> K) {
        self.places_mut().sort_unstable_by_key(|place| place.as_ref().map(&key));
    }

    fn places_mut(&mut self) -> &mut [Option<T>] {
        match self {
            InlineVec::Inline { places, len } => &mut places[..*len],
            InlineVec::Heap(heap) => heap,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_inside_and_on_the_heap() {
        let mut vec = InlineVec::<u32, 3>::new();
        assert_eq!(vec.last_mut(), None);
        for n in 0..8 {
            vec.push(7 - n);
            assert_eq!(vec.last_mut(), Some(&mut (7 - n)));
            assert_eq!(vec.iter().count() as u32, n + 1);
            assert_eq!(matches!(vec, InlineVec::Heap(_)), n >= 3);
        }
        vec.sort_unstable_by_key(|&n| n);
        vec.iter_mut().for_each(|n| *n *= 2);
        assert!(vec.iter().copied().eq((0..8).map(|n| 2 * n)));
    }
}
