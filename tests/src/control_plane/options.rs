//! What can be chosen about a control plane.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::Error;

/// What can be chosen. The default binds to loopback alone, and needs nothing of the machine's network.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address that the API server listens at; all else listens on loopback.
    pub bind: IpAddr,
    /// The address that pods reach the API server at: the endpoint of the Service `kubernetes`. Without one,
    /// and with one on loopback (which no endpoint may have), that Service has no endpoints.
    pub advertise: Option<IpAddr>,
    /// The range of cluster IPs, IPv4, at least 8 addresses.
    pub service_range: String,
    /// Whether kube-scheduler runs.
    pub scheduler: bool,
    /// Further host names and addresses of the API server's certificate.
    pub hosts: Vec<String>,
    /// Further arguments of kube-apiserver.
    pub api_server_args: Vec<String>,
    /// Further arguments of kube-controller-manager.
    pub controller_manager_args: Vec<String>,
    /// How long the start may take, without the wait for its turn.
    pub bound: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bind: Ipv4Addr::LOCALHOST.into(),
            advertise: None,
            service_range: "10.43.0.0/16".to_owned(),
            scheduler: true,
            hosts: Vec::new(),
            api_server_args: Vec::new(),
            controller_manager_args: Vec::new(),
            bound: Duration::from_secs(60),
        }
    }
}

impl Options {
    /// The address that clients on this machine use.
    pub(super) fn reached_at(&self) -> IpAddr {
        match (self.bind.is_unspecified(), self.advertise) {
            (false, _) => self.bind,
            (true, Some(address)) => address,
            (true, None) => Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// The address for endpoints, where there is one that may be in an endpoint.
    pub(super) fn endpoint(&self) -> Option<IpAddr> {
        let usable = |address: &IpAddr| !address.is_loopback() && !address.is_unspecified();
        self.advertise.or(Some(self.bind)).filter(usable)
    }

    /// The cluster IP of the Service `kubernetes`: the first of the range.
    pub(super) fn first_service_address(&self) -> Result<Ipv4Addr, Error> {
        let wrong = || {
            let found = &self.service_range;
            Error::Options(format!("service_range is `{found}`: write an IPv4 range such as 10.43.0.0/16"))
        };
        let (base, bits) = self.service_range.split_once('/').ok_or_else(wrong)?;
        let base: Ipv4Addr = base.parse().map_err(|_| wrong())?;
        let bits: u32 = bits.parse().map_err(|_| wrong())?;
        if !(8..=29).contains(&bits) {
            return Err(wrong());
        }
        let network = u32::from(base) & (u32::MAX << (32 - bits));
        Ok(Ipv4Addr::from(network + 1))
    }

    /// Everything that the API server's certificate is good for.
    pub(super) fn hosts(&self) -> Result<Vec<String>, Error> {
        let mut hosts: Vec<String> = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ]
        .map(str::to_owned)
        .into();
        let addresses = [Some(Ipv4Addr::LOCALHOST.into()), Some(self.bind), self.advertise];
        let addresses = addresses.into_iter().flatten().filter(|address| !address.is_unspecified());
        hosts.extend(addresses.map(|address: IpAddr| address.to_string()));
        hosts.push(self.first_service_address()?.to_string());
        hosts.extend(self.hosts.iter().cloned());
        hosts.sort();
        hosts.dedup();
        Ok(hosts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_kubernetes_has_the_first_address_of_the_range() {
        let first = |range: &str| {
            Options { service_range: range.to_owned(), ..Options::default() }.first_service_address().ok()
        };
        for (range, expected) in [
            ("10.43.0.0/16", Some(Ipv4Addr::new(10, 43, 0, 1))),
            ("10.43.7.9/16", Some(Ipv4Addr::new(10, 43, 0, 1))),
            ("192.168.9.8/29", Some(Ipv4Addr::new(192, 168, 9, 9))),
            ("10.43.0.0", None),
            ("10.43.0.0/30", None),
            ("fd00::/108", None),
            ("", None),
        ] {
            assert_eq!(first(range), expected, "{range}");
        }
    }

    #[test]
    fn no_endpoint_is_on_loopback() {
        let lo: IpAddr = Ipv4Addr::LOCALHOST.into();
        let any: IpAddr = Ipv4Addr::UNSPECIFIED.into();
        let real: IpAddr = Ipv4Addr::new(10, 1, 2, 3).into();
        for (bind, advertise, endpoint, reached_at) in [
            (lo, None, None, lo),
            (lo, Some(lo), None, lo),
            (real, None, Some(real), real),
            (any, None, None, lo),
            (any, Some(real), Some(real), real),
        ] {
            let options = Options { bind, advertise, ..Options::default() };
            assert_eq!(
                (options.endpoint(), options.reached_at()),
                (endpoint, reached_at),
                "{bind} {advertise:?}"
            );
        }
    }
}
