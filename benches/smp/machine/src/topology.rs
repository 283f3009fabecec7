//! Describes which CPUs are near to each other.

/// How far apart two CPUs are: the index of [`Costs::transfer`](crate::Costs::transfer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distance {
    /// In one cluster, which shares a last-level cache (a chiplet).
    Cluster,
    /// In one socket.
    Socket,
    /// In different sockets.
    Machine,
}

/// How CPUs are arranged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// How many CPUs a cluster has, at least 1.
    pub per_cluster: usize,
    /// How many CPUs a socket has: a multiple of `per_cluster`.
    pub per_socket: usize,
    /// The number of sockets among which the CPUs are dealt out in turn. With 1, sockets are filled
    /// one after the other, as many as are needed.
    pub sockets: usize,
}

impl Topology {
    /// Sockets of `cpus` CPUs, all equally far from each other. More CPUs make more sockets.
    pub const fn socket(cpus: usize) -> Self {
        Topology { per_cluster: cpus, per_socket: cpus, sockets: 1 }
    }

    /// The socket of a CPU.
    pub fn socket_of(&self, cpu: usize) -> usize {
        if self.sockets > 1 { cpu % self.sockets } else { cpu / self.per_socket }
    }

    /// The cluster of a CPU. Clusters of different sockets have different numbers.
    pub fn cluster_of(&self, cpu: usize) -> usize {
        let clusters = self.per_socket.div_ceil(self.per_cluster);
        let in_socket = if self.sockets > 1 { cpu / self.sockets } else { cpu % self.per_socket };
        self.socket_of(cpu) * clusters + in_socket / self.per_cluster
    }

    /// How far apart two CPUs are.
    pub fn distance(&self, a: usize, b: usize) -> Distance {
        if self.socket_of(a) != self.socket_of(b) {
            Distance::Machine
        } else if self.cluster_of(a) != self.cluster_of(b) {
            Distance::Socket
        } else {
            Distance::Cluster
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_socket_is_filled_before_the_next() {
        let t = Topology::socket(64);
        assert_eq!(t.distance(0, 63), Distance::Cluster);
        assert_eq!(t.distance(63, 64), Distance::Machine);
        assert_eq!(t.socket_of(200), 3);
    }

    #[test]
    fn sockets_are_dealt_out_in_turn() {
        let t = Topology { per_cluster: 64, per_socket: 64, sockets: 2 };
        assert_eq!(t.distance(0, 1), Distance::Machine);
        assert_eq!(t.distance(0, 2), Distance::Cluster);
    }

    #[test]
    fn chiplets_lie_in_a_socket() {
        let t = Topology { per_cluster: 8, per_socket: 64, sockets: 1 };
        assert_eq!(t.distance(0, 7), Distance::Cluster);
        assert_eq!(t.distance(7, 8), Distance::Socket);
        assert_eq!(t.distance(0, 64), Distance::Machine);
        let t = Topology { per_cluster: 8, per_socket: 64, sockets: 2 };
        assert_eq!(t.distance(0, 14), Distance::Cluster);
        assert_eq!(t.distance(0, 16), Distance::Socket);
    }
}
